-- Entries of a month that stand and that a restatement may reach, with the rules of those that an earlier
-- restatement posted. Kafka coordinates are missing where an entry was posted by hand; a cause that is no
-- restatement's says that more than the record made the figure.
with entry as (
    select e.*,
           l.policy_gwp_set, l.policy_vintage_gap, l.reference_known_at,
           coalesce(l.reference_known_at, e.recorded_at) as known,
           e.kafka_offset is not null and (e.cause is null or l.new_entry_id is not null) as is_recomputable
    from ledger.entry e
    left join (
        ledger.restatement_line l
        join ledger.restatement_posting p
            on p.restatement_id = l.restatement_id and p.activity_month = l.activity_month
    ) on e.cause is not null and l.new_entry_id = e.entry_id and p.recorded_at = e.recorded_at
    where e.activity_month = %(month)s
      and e.local_date >= %(first_date)s and e.local_date < %(end_date)s
      and e.reverses_id is null
      -- What is posted per period follows the entries it rests on, and is posted anew after them.
      and e.stream <> 'period_postings'
      and e.recorded_at <= %(known_at)s
)
select e.*
from entry e
where (
    (e.factor_release, e.factor_id) in (
        select f.release, f.id from unnest(%(releases)s::text[], %(factor_ids)s::text[]) as f (release, id))
    or (e.factor_release, e.stream) in (
        select f.release, f.stream from unnest(%(stream_releases)s::text[], %(factor_streams)s::text[]) as f (release, stream))
    or (e.gwp_set <> %(gwp_set)s::text and e.factor_id = any(%(gwp_factor_ids)s::text[]))
    or (e.facility_id = any(%(facilities)s::text[]) and exists (
        select from unnest(%(facilities)s::text[], %(facility_moments)s::timestamptz[]) as s (id, at)
        where s.id = e.facility_id
          and s.at > least(e.known, %(reference_as_of)s) and s.at <= greatest(e.known, %(reference_as_of)s)))
    or (e.source_ref = any(%(sources)s::text[]) and exists (
        select from unnest(%(sources)s::text[], %(source_moments)s::timestamptz[]) as s (id, at)
        where s.id = e.source_ref
          and s.at > least(e.known, %(reference_as_of)s) and s.at <= greatest(e.known, %(reference_as_of)s)))
    or (e.stream = any(%(streams)s::text[]) and exists (
        select from unnest(%(streams)s::text[], %(stream_moments)s::timestamptz[]) as s (id, at)
        where s.id = e.stream
          and s.at > least(e.known, %(reference_as_of)s) and s.at <= greatest(e.known, %(reference_as_of)s)))
    or exists (
        select from unnest(%(everything)s::timestamptz[]) as s (at)
        where s.at > least(e.known, %(reference_as_of)s) and s.at <= greatest(e.known, %(reference_as_of)s))
    or (%(max_gap)s::integer is not null and (abs(e.vintage_gap_years) > %(max_gap)s::integer or e.flags <> ''))
    or e.code_version <> %(other_code_than)s::text
)
and not exists (select from ledger.reversal r where r.entry_id = e.entry_id)
order by e.entry_id
