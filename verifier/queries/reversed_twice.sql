-- Entries that more than one entry takes back.
select reverses_id::text, count(*) from ledger.entry where reverses_id is not null
group by reverses_id having count(*) > 1 order by 1
