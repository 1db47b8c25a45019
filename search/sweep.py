"""`asc search` as a script for `ray submit`, which runs it on the head of a cluster. The options are the same.

    ray submit cluster.yaml search/sweep.py CONFIG --shards s3://BUCKET/shards --storage s3://BUCKET/one --out ~/one

It joins the cluster of its node, unless --address or RAY_ADDRESS names another (`local` starts Ray on the node alone).
Rerun the same command to resume.
"""

from __future__ import annotations

import os
import sys

from search.cli.main import main

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    sys.argv[1:1] = ["search"]
    main()
