"""Objects that are written only where there is none: what `pyarrow.fs` lacks, and a lock is made of."""

from __future__ import annotations

from typing import Any
from urllib.parse import parse_qsl

OPTIONS = {"access_key": "access_key_id", "secret_key": "secret_access_key", "session_token": "token"}
"""What `pyarrow.fs` calls an option in a URI's query: what obstore calls it. `region` is called that by both."""


class ConditionalPut:
    """One place in an object store, for uploads on the condition that the object is new.

    S3 refuses others by `If-None-Match: *`, Google Cloud Storage by the generation 0. Credentials and endpoint come
    from the environment variables that `data_prep.store.open_store` names, or from the URI's query.
    """

    def __init__(self, uri: str) -> None:
        from obstore.store import from_url

        base, _, query = uri.partition("?")
        self._store = from_url(base, client_options={"allow_http": True}, **_options(dict(parse_qsl(query))))

    def create(self, name: str, data: bytes) -> bool:
        """Upload `name` if there is no such object; return whether there was none.

        Raises:
            OSError: if the store can't be reached or refuses for another reason.
        """
        import obstore
        from obstore.exceptions import AlreadyExistsError, BaseError

        try:
            obstore.put(self._store, name, data, mode="create", use_multipart=False)
        except AlreadyExistsError:
            return False
        except BaseError as error:
            raise OSError(str(error)) from None
        return True


def _options(query: dict[str, str]) -> dict[str, Any]:
    options = {OPTIONS.get(name, name): value for name, value in query.items()}
    scheme = options.pop("scheme", "https")
    if endpoint := options.pop("endpoint_override", None):
        options["endpoint"] = endpoint if "://" in endpoint else f"{scheme}://{endpoint}"
    return options
