select f.supplier_id, f.name, encode(f.sha256, 'hex') as sha256, f.size_bytes, f.claimed_at, o.fate, o.reason_code,
    o.reason, o.rows_accepted, o.rows_rejected, o.kept_at
from ledger.source_file f
left join ledger.source_file_outcome o using (supplier_id, sha256, name)
where %(supplier_id)s::text is null or f.supplier_id = %(supplier_id)s
order by f.claimed_at desc, f.supplier_id, f.name
limit %(limit)s
