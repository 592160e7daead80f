-- A claim, its receipt if there is one, and under which other name its content counts already.
select f.claimed_at, o.receipt, earlier.name as counted_as, earlier.claimed_at as counted_at
from ledger.source_file f
left join ledger.source_file_outcome o
    on o.supplier_id = f.supplier_id and o.sha256 = f.sha256 and o.name = f.name
left join (
    ledger.source_file_outcome counts
    join ledger.source_file earlier using (supplier_id, sha256, name))
    on counts.supplier_id = f.supplier_id and counts.sha256 = f.sha256 and counts.fate <> 'duplicate'
        and counts.name <> f.name
where f.supplier_id = %(supplier_id)s and f.sha256 = %(sha256)s and f.name = %(name)s
