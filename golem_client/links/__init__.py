"""Links by which people complete promises: approve, reject, choose. Needs the extra `links`."""

from golem_client.answer import Answer
from golem_client.links.links import Link, PromiseLinks
from golem_client.links.page import Texts

__all__ = ["Answer", "Link", "PromiseLinks", "Texts"]
