insert into factors.release (release_id, sha256, factor_count, index_count, recorded_at)
values (%(release_id)s, %(sha256)s, %(factor_count)s, %(index_count)s, %(recorded_at)s)
on conflict (release_id) do nothing
