"""Working suppliers' files off with the settings' own server, Kafka and archive.

Belongs here: putting these together, for the asset and for the command line. Does not: how a file
is worked off (pipeline.drops.work). Imports no Dagster, so that a command does not wait for it.
"""

from functools import partial

from carbon_ledger.settings import Settings
from carbon_ledger.store.rows import Connection
from pipeline.drops.server import DropServer, ServerPlace
from pipeline.drops.work import Done, Workshop, work_off
from pipeline.producers import CarbonEventProducer
from spark.archive import store


def work_off_drops(given: Settings, conn: Connection) -> Done | None:
    """Works off every file that is whole on the settings' server; None if somebody else is at it,
    or if there is no server. `conn` is the writer's, in autocommit.
    """
    place = ServerPlace.of(given)
    if place is None:
        return None
    with DropServer(place) as server, CarbonEventProducer(settings=given) as producer:
        shop = Workshop.of(
            given,
            conn=conn,
            server=server,
            producer=producer,
            keep=partial(store, given.archive_url),
        )
        return work_off(shop)
