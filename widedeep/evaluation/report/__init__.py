"""The report on a decision: what was measured (`values`), drawn (`pictures`) and told (`page`)."""
