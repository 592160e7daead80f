delete from manifest.drop_sighting
where supplier_id = %(supplier_id)s and name = %(name)s
