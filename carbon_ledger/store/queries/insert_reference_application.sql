insert into reference.application (recorded_at, source, source_sha256, added, superseded, ended)
values (
    %(recorded_at)s, %(source)s, %(source_sha256)s, %(added)s, %(superseded)s, %(ended)s
)
