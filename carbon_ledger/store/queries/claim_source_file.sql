insert into ledger.source_file (supplier_id, sha256, name, size_bytes, mtime, claimed_at)
values (%(supplier_id)s, %(sha256)s, %(name)s, %(size_bytes)s, %(mtime)s, %(claimed_at)s)
on conflict (supplier_id, sha256, name) do nothing
