insert into manifest.drop_sighting (supplier_id, name, size_bytes, mtime, since, is_whole, looks_cut)
values (%(supplier_id)s, %(name)s, %(size_bytes)s, %(mtime)s, %(since)s, %(is_whole)s, %(looks_cut)s)
on conflict (supplier_id, name) do update
set size_bytes = excluded.size_bytes, mtime = excluded.mtime, since = excluded.since, is_whole = excluded.is_whole,
    looks_cut = excluded.looks_cut
