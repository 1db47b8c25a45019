"""Connections to object stores: a URI and the environment → a client of obstore.

Besides bucket and folder, a URI may contain credentials (`s3://KEY:SECRET@bucket/…`, `gs://anonymous@bucket/…`) and
query options: `endpoint_override` (with or without a scheme), `scheme`, `region`, `access_key`, `secret_key`,
`session_token`, `retry_limit_seconds`, or any option of obstore for S3 or Google Cloud Storage.
"""

from __future__ import annotations

import contextlib
import os
import urllib.error
import urllib.request
from configparser import ConfigParser, Error
from datetime import timedelta
from functools import lru_cache
from pathlib import Path
from typing import Any
from urllib.parse import parse_qsl, unquote, urlsplit

from data_prep.errors import DataError

OPTIONS = {"access_key": "access_key_id", "secret_key": "secret_access_key", "session_token": "token"}
"""{name in a URI's query: name in obstore}. Other names are the same."""
WITHOUT_MEANING = ("allow_bucket_creation", "allow_bucket_deletion", "allow_delayed_open", "project_id")
"""Accepted query options without effect, since buckets are neither created nor deleted."""
N_RETRIES = 6
"""Retries of a request; about ten seconds if the server doesn't answer."""


def connected(uri: str) -> Any:
    """Return obstore's store at an `s3://` or `gs://` URI, without reading from it.

    Raises:
        DataError: if the URI has no bucket, or an unknown option.
    """
    from obstore.exceptions import BaseError
    from obstore.store import from_url

    parts = urlsplit(uri)
    user, _, bucket = parts.netloc.rpartition("@")
    options: dict[str, Any] = {OPTIONS.get(name, name): value for name, value in parse_qsl(parts.query)}
    for name in WITHOUT_MEANING:
        options.pop(name, None)
    seconds = options.pop("retry_limit_seconds", 180)
    scheme = options.pop("scheme", "https")
    endpoint = options.pop("endpoint_override", None)
    if endpoint:
        endpoint = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
        options["endpoint" if parts.scheme == "s3" else "base_url"] = endpoint
    options |= _of_s3(user, bucket, options) if parts.scheme == "s3" else {"skip_signature": True} if user else {}
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


def _of_s3(user: str, bucket: str, given: dict[str, Any]) -> dict[str, Any]:
    """Return options that obstore doesn't find itself: keys before the bucket or of a profile, the bucket's region."""
    found: dict[str, Any] = {}
    if user:
        key, _, secret = user.partition(":")
        found |= {"access_key_id": unquote(key), "secret_access_key": unquote(secret)}
    elif "access_key_id" not in given and "AWS_ACCESS_KEY_ID" not in os.environ:
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
