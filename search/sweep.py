"""`asc search` as a script that runs as it stands on a cluster's head, for `ray submit`: the same options and work.

    ray submit cluster.yaml search/sweep.py CONFIG --shards s3://BUCKET/shards --storage s3://BUCKET/one --out ~/one

It joins the cluster whose node it runs on, unless --address or RAY_ADDRESS names another (`local` starts a Ray of its
own). Given again, the same command goes on where it stopped.
"""

from __future__ import annotations

import os
import sys

from search.cli.main import main

if __name__ == "__main__":
    os.environ.setdefault("RAY_ADDRESS", "auto")
    sys.argv[1:1] = ["search"]
    main()
