insert into capture.pending (source, kind, body, payload)
values (%(source)s, %(kind)s, %(body)s, %(payload)s)
