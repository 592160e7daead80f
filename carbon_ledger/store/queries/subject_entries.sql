-- What the ledger has of a pseudonym, by stream: entries, reversals among them, first and last date.
select stream, count(*) as entries, count(reverses_id) as reversals,
       min(local_date) as first_date, max(local_date) as last_date
from ledger.entry
where subject_ref = %(subject_ref)s
group by stream
order by stream
