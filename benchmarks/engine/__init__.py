"""How fast the engine learns beside other ways to train the same Wide & Deep model, on the same rows, one thread each."""
