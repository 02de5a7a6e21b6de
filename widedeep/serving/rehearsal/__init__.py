"""The dry run: real servers, one of the candidate and one of the champion, are started from the store, driven and compared.

Each model is dry run before it is loaded (Cheng et al. 2016, §3.3). The process shares nothing with the trainer but the store:
what it can load and reproduce, a server can.

    examining  the candidate's bytes, without a server: precise reasons, while the servers start
    servers    processes to be asked, and what they hold
    traffic    what they are asked
    driving    asks and measures; `widedeep.evaluation.dry_run` judges
    rehearsing all of it, as a report
"""
