-- Restatements, newest first, each with its approvals and its months.
select r.restatement_id, r.from_releases, r.to_release as release_id, r.gwp_set, r.reference_as_of,
       r.max_vintage_gap_years, r.recompute, r.first_date, r.end_date, r.base_year, r.code_version, r.known_at,
       r.entries, r.delta_kgco2e, r.digest, r.summary::text as summary, r.previewed_by, r.reason, r.previewed_at,
       coalesce((
           select array_agg(a.approved_by order by a.approved_at) from ledger.restatement_approval a
           where a.restatement_id = r.restatement_id and a.digest = r.digest), '{}') as approved_by,
       (select array_agg(m.activity_month order by m.activity_month) from ledger.restatement_month m
        where m.restatement_id = r.restatement_id) as months,
       coalesce((
           select array_agg(p.activity_month order by p.activity_month) from ledger.restatement_posting p
           where p.restatement_id = r.restatement_id), '{}') as posted_months
from ledger.restatement r
where %(restatement_id)s::bigint is null or r.restatement_id = %(restatement_id)s::bigint
order by r.restatement_id desc
