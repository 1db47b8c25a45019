"""The sweep, retraining, and the `asc` command that joins the stages: the only place that imports Ray and Optuna."""
