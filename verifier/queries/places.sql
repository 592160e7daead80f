-- Where the rows of these entries lie; by the text of the id, so that every row is looked at and no index.
select entry_id::text, tableoid::regclass::text, ctid::text from ledger.entry
where entry_id::text = any(%s) order by 1, 2, 3
