"""Files in forms: no page takes any but the one that says so."""

from typing import Any, NoReturn

from django.core.files.uploadhandler import FileUploadHandler, StopUpload


class NoFiles(FileUploadHandler):
    """Reads no further where a file begins.

    Django's own would store it, before anybody asks who sends it: the token that each form carries
    is looked for in the same text. So strangers could fill the disk.
    """

    def new_file(self, *args: Any, **kwargs: Any) -> NoReturn:
        """Leave the rest of the form alone."""
        raise StopUpload(connection_reset=True)

    def receive_data_chunk(self, raw_data: bytes, start: int) -> None:
        """Take nothing; there is nothing."""

    def file_complete(self, file_size: int) -> None:
        """Make nothing of it."""
