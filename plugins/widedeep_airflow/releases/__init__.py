"""The Releases page: how the chain stands, in Airflow's own UI.

It only reads. What a person decides on it goes to Airflow's own API, as that person: a run of the DAG that does it, or an answer
to a required action. So nothing here can be made to change anything, and Airflow alone says who may.
"""
