-- The factor release that each organization's market-based postings of a year are held to: that of the lines posted
-- last, standing or not; or the one that a restatement of scope 2 entries of the organization moved them to, once all
-- its months of the year are posted. It counts if its dates hold the whole year, or all of it that had been when it
-- was previewed. A run that posted while a restatement did may have its moment later, and not have seen it: what was
-- posted with an older release than the restatement's does not count as later than it.
with posted as (
    select distinct on (e.organization_id)
           e.organization_id, e.factor_release, e.recorded_at, f.recorded_at as stored_at
    from ledger.entry e
    join factors.release f on f.release_id = e.factor_release
    where e.stream = 'period_postings'
      and e.basis = 'market'
      and e.activity_month >= %(begin)s and e.activity_month < %(end)s
      and e.reverses_id is null
    order by e.organization_id, e.recorded_at desc, e.entry_id desc
),
restated as (
    select r.restatement_id, r.to_release, f.recorded_at as stored_at, max(p.recorded_at) as posted_at
    from ledger.restatement r
    join factors.release f on f.release_id = r.to_release
    join ledger.restatement_month m using (restatement_id)
    left join ledger.restatement_posting p using (restatement_id, activity_month)
    where r.first_date <= %(begin)s
      and r.end_date >= least(%(end)s, (r.known_at at time zone 'UTC')::date + 1)
      and m.activity_month >= %(begin)s and m.activity_month < %(end)s
    group by r.restatement_id, r.to_release, f.recorded_at
    having count(p.activity_month) = count(*)
)
select o.organization_id, coalesce(m.to_release, o.factor_release) as factor_release, m.restatement_id
from posted o
left join lateral (
    select r.restatement_id, r.to_release
    from restated r
    where (r.posted_at > o.recorded_at or r.stored_at > o.stored_at)
      and exists (
          select from ledger.restatement_line l
          join ledger.entry e
              on (e.entry_id = l.entry_id and e.activity_month = l.activity_month)
              or (e.entry_id = l.new_entry_id and e.activity_month = l.new_month)
          where l.restatement_id = r.restatement_id
            and l.activity_month >= %(begin)s and l.activity_month < %(end)s
            and e.organization_id = o.organization_id and e.scope = 2 and e.basis = 'location'
      )
    order by r.posted_at desc, r.restatement_id desc
    limit 1
) m on true
