"""What a person looks at: read models over the store, for the Releases page. They read, and never write.

Nothing here imports more than the store and the values in it: the API server that asks has no use for torch, pandas or pyarrow.
What is damaged, half published or pruned is told of as such, beside what can be read.
"""
