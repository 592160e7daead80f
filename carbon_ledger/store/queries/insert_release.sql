insert into factors.release (release_id, sha256, factor_count, index_count)
values (%(release_id)s, %(sha256)s, %(factor_count)s, %(index_count)s)
on conflict (release_id) do nothing
