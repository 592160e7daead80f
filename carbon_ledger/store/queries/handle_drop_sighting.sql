update manifest.drop_sighting
set handled_size = %(size_bytes)s, handled_mtime = %(mtime)s
where supplier_id = %(supplier_id)s and name = %(name)s
