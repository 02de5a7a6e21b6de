"""What all sides share: the paper's architecture (Cheng et al. 2016, §4.2), AdaGrad at torch's own learning rate, a seed."""

WIDTH = 32
HIDDEN = (1024, 512, 256)
LEARNING_RATE = 0.01
SEED = 0
