"""All benchmarks, one after the other: `make bench`. About ten minutes; each writes its file into `benchmarks/results/`."""

from benchmarks import local_stack, parse_dags, sample_chain

parse_dags.main()
sample_chain.main()
local_stack.main()
