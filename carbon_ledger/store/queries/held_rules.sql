-- What the period postings of a year of each of some organizations are held to.
-- The factor release of the market-based ones: that of the lines posted last, standing or not; or the one that a
-- restatement of scope 2 entries of the organization moved them to, once all its months of the year are posted. It
-- counts if its dates hold the whole year, or all of it that had been when it was previewed. A run that posted while a
-- restatement did may have its moment later, and not have seen it: what was posted with an older release than the
-- restatement's does not count as later than it.
-- The set of potentials of all of them: that of the restatement of potentials posted last that restated entries of the
-- organization, by the same rule; else the one that the lines posted last say, as the first run's setting was. Nothing
-- else ever moves it, so that no moments have to be compared.
with line as materialized (
    select e.organization_id, e.basis, e.factor_release, e.recorded_at, e.entry_id, e.payload_sha256
    from ledger.entry e
    where e.stream = 'period_postings'
      and e.activity_month >= %(begin)s and e.activity_month < %(end)s
      and e.reverses_id is null
),
posted as (
    select distinct on (l.organization_id)
           l.organization_id, l.factor_release, l.recorded_at, f.recorded_at as stored_at
    from line l
    join factors.release f on f.release_id = l.factor_release
    where l.basis = 'market'
    order by l.organization_id, l.recorded_at desc, l.entry_id desc
),
said as (
    select distinct on (l.organization_id) l.organization_id, b.basis_text::jsonb ->> 'gwp_set' as gwp_set
    from line l
    join ledger.period_basis b using (payload_sha256)
    order by l.organization_id, l.recorded_at desc, l.entry_id desc
),
restated as (
    select r.restatement_id, r.to_release, r.gwp_set, f.recorded_at as stored_at, max(p.recorded_at) as posted_at
    from ledger.restatement r
    left join factors.release f on f.release_id = r.to_release
    join ledger.restatement_month m using (restatement_id)
    left join ledger.restatement_posting p using (restatement_id, activity_month)
    where r.first_date <= %(begin)s
      and r.end_date >= least(%(end)s, (r.known_at at time zone 'UTC')::date + 1)
      and m.activity_month >= %(begin)s and m.activity_month < %(end)s
    group by r.restatement_id, r.to_release, r.gwp_set, f.recorded_at
    having count(p.activity_month) = count(*)
),
organization as (
    select unnest(%(organizations)s::text[]) as organization_id
),
-- Whose entries of the year a restatement took or made, and whether metered energy is among them.
reached as materialized (
    select o.organization_id, r.restatement_id, x.is_metered
    from organization o
    cross join restated r
    cross join lateral (
        select e.scope = 2 and e.basis = 'location' as is_metered
        from ledger.restatement_line l
        join ledger.entry e
            on (e.entry_id = l.entry_id and e.activity_month = l.activity_month)
            or (e.entry_id = l.new_entry_id and e.activity_month = l.new_month)
        where l.restatement_id = r.restatement_id
          and l.activity_month >= %(begin)s and l.activity_month < %(end)s
          and e.organization_id = o.organization_id
        order by is_metered desc
        limit 1
    ) x
),
moved_release as (
    select distinct on (o.organization_id) o.organization_id, r.to_release, r.restatement_id
    from posted o
    join reached x on x.organization_id = o.organization_id and x.is_metered
    join restated r using (restatement_id)
    where r.to_release is not null and (r.posted_at > o.recorded_at or r.stored_at > o.stored_at)
    order by o.organization_id, r.posted_at desc, r.restatement_id desc
),
moved_potentials as (
    select distinct on (x.organization_id) x.organization_id, r.gwp_set, r.restatement_id
    from reached x
    join restated r using (restatement_id)
    where r.gwp_set is not null
    order by x.organization_id, r.posted_at desc, r.restatement_id desc
)
select organization_id,
       coalesce(m.to_release, o.factor_release) as factor_release,
       m.restatement_id,
       coalesce(g.gwp_set, s.gwp_set) as gwp_set,
       g.restatement_id as gwp_restatement_id
from organization
left join posted o using (organization_id)
left join said s using (organization_id)
left join moved_release m using (organization_id)
left join moved_potentials g using (organization_id)
