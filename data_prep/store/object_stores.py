"""Connections to object stores: a URI and the environment → a client of obstore.

Besides bucket and folder, a URI may contain `anonymous@` before the bucket and query options: `endpoint_override` (with
or without a scheme), `scheme`, `region`, `retry_limit_seconds`, or any option of obstore for S3 or Google Cloud Storage
that is no secret. URIs are visible in run directories, messages and the list of processes: credentials are refused.
"""

from __future__ import annotations

import contextlib
import os
import re
import urllib.error
import urllib.request
from configparser import ConfigParser, Error
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, urlsplit

from data_prep.errors import DataError

SECRET = re.compile(r"secret|token|password|credential|access_key|service_account|sas_key|private", re.IGNORECASE)
"""Names of query options that hold credentials."""
WITHOUT_MEANING = ("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open", "project_id")
"""Accepted query options without effect, since buckets are neither created nor deleted."""
N_RETRIES = 6
"""Retries of a request; about ten seconds if the server doesn't answer."""


AWS_VARIABLES = "AWS_ACCESS_KEY_ID and AWS_SECRET_ACCESS_KEY, or in a profile (AWS_PROFILE)"


def require_no_secrets(uri: str, variables: str = AWS_VARIABLES) -> None:
    """Raise DataError if a URI contains credentials; the message does not, and names the `variables` for them."""
    try:
        parts = urlsplit(uri)
    except ValueError:  # reported where it is used
        return
    names = [name for name, value in parse_qsl(parts.query) if SECRET.search(name) or "@" in urlsplit(value).netloc]
    user, separator, host = parts.netloc.rpartition("@")
    if names or (separator and user != "anonymous"):
        shown = f"{parts.scheme}://{host}{parts.path}"
        raise DataError(
            f"{shown}: the URI contains credentials ({', '.join(names) or 'before the @'}), which would be visible in "
            f"the run directory and the list of processes. Set them in the environment, such as {variables}."
        )


def connected(uri: str) -> Any:
    """Return obstore's store at an `s3://` or `gs://` URI, without reading from it.

    Raises:
        DataError: if the URI has no bucket, an unknown option, or contains credentials.
    """
    require_no_secrets(uri)
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    parts = urlsplit(uri)
    user, _, bucket = parts.netloc.rpartition("@")
    options: dict[str, Any] = dict(parse_qsl(parts.query))
    for name in WITHOUT_MEANING:
        options.pop(name, None)
    seconds = options.pop("retry_limit_seconds", 180)
    scheme = options.pop("scheme", "https")
    endpoint = options.pop("endpoint_override", None)
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        options["endpoint" if parts.scheme == "s3" else "base_url"] = endpoint
    options |= _of_s3(bucket, options) if parts.scheme == "s3" else {"skip_signature": True} if user else {}
    try:
        return from_url(
            f"{parts.scheme}://{bucket}{parts.path}",
            client_options={"allow_http": True},
            retry_config={"max_retries": N_RETRIES, "retry_timeout": timedelta(seconds=float(seconds))},
            **options,
        )
    except (BaseError, ValueError) as error:
        raise DataError(f"{uri}: {error_words(error)}. Expected s3://BUCKET/FOLDER or gs://BUCKET/FOLDER.") from None


def error_words(error: Exception) -> str:
    """Return the message of an object store's error in one line."""
    return str(error).splitlines()[0].partition(": <?xml")[0].rstrip(". ")


def _of_s3(bucket: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return options that obstore doesn't find itself: the keys of a profile, the bucket's region."""
    found: dict[str, Any] = {}
    if "AWS_ACCESS_KEY_ID" not in os.environ:
        found |= _of_profile()
    is_amazons = not {"endpoint", "aws_endpoint"} & set(given) and not any(
        os.environ.get(name) for name in ("AWS_ENDPOINT_URL", "AWS_ENDPOINT_URL_S3", "AWS_ENDPOINT")
    )
    if is_amazons and "region" not in given and (region := bucket_region(f"https://s3.amazonaws.com/{bucket}")):
        found["region"] = region
    return found


def _of_profile() -> dict[str, str]:
    """Return the keys of the profile AWS_PROFILE in the user's credentials file, if any."""
    path = os.environ.get("AWS_SHARED_CREDENTIALS_FILE") or Path.home() / ".aws" / "credentials"
    profiles = ConfigParser(interpolation=None)
    with contextlib.suppress(Error, OSError, UnicodeDecodeError):
        profiles.read(path, encoding="utf-8")
    name = os.environ.get("AWS_PROFILE", "default")
    keys = profiles[name] if profiles.has_section(name) else {}
    names = {
        "aws_access_key_id": "access_key_id",
        "aws_secret_access_key": "secret_access_key",
        "aws_session_token": "token",
    }
    return {names[key]: value for key, value in keys.items() if key in names}


@lru_cache
def bucket_region(address: str) -> str | None:
    """Return the region of a bucket, as reported by its store without credentials; None if it isn't."""
    request = urllib.request.Request(address, method="HEAD")
    try:
        with urllib.request.urlopen(request, timeout=10) as answer:
            headers = answer.headers
    except urllib.error.HTTPError as refusal:  # a refusal has the region, too
        headers = refusal.headers
    except OSError:
        return None
    region: str | None = headers.get("x-amz-bucket-region")
    return region
