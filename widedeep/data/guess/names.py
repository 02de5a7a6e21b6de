"""What a column's name says. A hint is no proof: every guess by name must also fit the column's content."""

import re

USER = {
    *("user", "customer", "member", "account", "client", "shopper", "userid", "customerid", "uid"),
    *("kunde", "kundennummer", "kundennr", "nutzer", "benutzer", "mitglied"),
}
VISITOR = {"visitor", "visit", "cookie", "device", "session", "person", "subscriber", "household", "besucher"}
ITEM = {
    *("item", "product", "sku", "article", "app", "movie", "film", "song", "track", "video", "book", "listing", "offer", "ad"),
    *(
        "advert",
        "campaign",
        "content",
        "document",
        "itemid",
        "productid",
        "asin",
        "artikel",
        "produkt",
        "buch",
        "angebot",
        "ware",
    ),
}
TIME = {"timestamp", "event", "time", "ts", "at", "date", "when", "zeit", "zeitpunkt", "zeitstempel", "datum"}
LABEL = {
    *("label", "target", "click", "clicked", "conversion", "converted", "purchase", "purchased", "bought", "buy", "ordered"),
    *("acquired", "install", "liked", "like", "outcome", "response", "y"),
    *("klick", "geklickt", "gekauft", "kauf", "bestellt", "gebucht", "ziel"),
}
RATING = {"rating", "ratings", "stars", "score", "sterne", "bewertung", "note"}
TITLE = {"title", "name", "titel", "bezeichnung"}
MOMENT = {
    *("hour", "weekday", "day", "month", "slot", "position", "rank", "session"),
    *("stunde", "wochentag", "tag", "monat", "platz", "sitzung"),
}
CODE = MOMENT | {
    *("type", "kind", "class", "category", "group", "segment", "zip", "status", "region"),
    *("typ", "klasse", "kategorie", "gruppe", "plz"),
}
WEIGHT = {"weight", "importance", "gewicht"}
ID = {"id", "ids", "nr", "no", "nummer", "number", "key", "uuid", "guid", "hash", "code"}
SHORTEST_PART = 4  # of a compound such as Kundennummer; shorter hints, such as `at`, are in too many words

EXACTLY, AMONG_OTHERS, IN_A_WORD, NOT = 3, 2, 1, 0
"""How a name says a hint: with nothing but "id" beside it; with other words; as a part of a word; not at all."""


def words(name: str) -> list[str]:
    """`userId`, `User-ID` and `user_id` are the words user and id."""
    parted = re.sub(r"(?<=[a-z0-9])(?=[A-Z])", " ", name)
    return [word for word in re.split(r"[\W_]+", parted.casefold()) if word]


def named(name: str, hints: set[str]) -> int:
    """EXACTLY, AMONG_OTHERS, IN_A_WORD or NOT."""
    said = words(name)
    if any(word in hints for word in said):
        return EXACTLY if all(word in hints | ID for word in said) else AMONG_OTHERS
    long = [hint for hint in hints if len(hint) >= SHORTEST_PART]
    return IN_A_WORD if any(hint in word for word in said for hint in long) else NOT


def is_id(name: str) -> bool:
    """Named as what names something: its numbers are no quantity."""
    return any(word in ID or word.endswith(("nummer", "nr", "uuid")) for word in words(name))
