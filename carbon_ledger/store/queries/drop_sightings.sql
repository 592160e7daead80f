select s.supplier_id, s.name, s.size_bytes, s.mtime, s.since, s.is_whole, s.looks_cut,
    s.handled_size, s.handled_mtime
from manifest.drop_sighting s
order by s.supplier_id, s.name
