-- When, within `around` of a moment, something was recorded that the period postings of a year rest on, nearest first.
select m.recorded_at
from (
    select e.recorded_at
    from ledger.entry e
    where e.stream in ('iot_energy', 'transport')
      and e.activity_month >= %(begin)s and e.activity_month < %(end)s
      and e.recorded_at between %(moment)s::timestamptz - %(around)s and %(moment)s::timestamptz + %(around)s
    union
    select a.recorded_at
    from reference.application a
    where a.recorded_at between %(moment)s::timestamptz - %(around)s and %(moment)s::timestamptz + %(around)s
) m
order by abs(extract(epoch from m.recorded_at - %(moment)s::timestamptz)), m.recorded_at
limit %(limit)s
