"""Who may log in to Airflow: users in its database, or those of an identity provider that speaks OpenID Connect.

With OIDC_DISCOVERY_URL (…/.well-known/openid-configuration), OIDC_CLIENT_ID and OIDC_CLIENT_SECRET the provider's users log in,
each time with the roles that OIDC_ROLES gives to their groups; who gets none sees nothing:

    OIDC_ROLES='{"ml-admins": ["Admin"], "ml-team": ["User"], "everybody": ["Viewer"]}'

The provider has to send the groups in the claim `groups`, and to accept <base URL>/auth/oauth-authorized/oidc as an address to go
back to. More: https://airflow.apache.org/docs/apache-airflow-providers-fab/stable/auth-manager/webserver-authentication.html
"""

import json
import os
from typing import Any

from airflow.providers.fab.auth_manager.security_manager.override import FabAirflowSecurityManagerOverride
from flask_appbuilder.const import AUTH_DB, AUTH_OAUTH

WTF_CSRF_ENABLED = True
AUTH_TYPE = AUTH_DB

if os.environ.get("OIDC_DISCOVERY_URL"):
    AUTH_TYPE = AUTH_OAUTH
    AUTH_USER_REGISTRATION = True
    AUTH_ROLES_SYNC_AT_LOGIN = True
    AUTH_ROLES_MAPPING = json.loads(os.environ["OIDC_ROLES"])
    OAUTH_PROVIDERS = [
        {
            "name": "oidc",
            "icon": "fa-key",
            "token_key": "access_token",
            "remote_app": {
                "client_id": os.environ["OIDC_CLIENT_ID"],
                "client_secret": os.environ["OIDC_CLIENT_SECRET"],
                "server_metadata_url": os.environ["OIDC_DISCOVERY_URL"],
                "client_kwargs": {"scope": "openid email profile groups"},
            },
        }
    ]

    class SecurityManager(FabAirflowSecurityManagerOverride):
        """Takes a user's name and groups from what the provider says of them."""

        def get_oauth_user_info(self, provider: str, resp: dict[str, Any]) -> dict[str, Any]:
            told = self.oauth_remotes[provider].userinfo(token=resp)
            return {
                "username": told["sub"],
                "email": told.get("email", ""),
                "first_name": told.get("given_name", ""),
                "last_name": told.get("family_name", ""),
                "role_keys": told.get("groups", []),
            }

    SECURITY_MANAGER_CLASS = SecurityManager
