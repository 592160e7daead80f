-- What may still add entries of a moment before this one, or has entries of before that no seal holds.
select 'batch_open' as code, b.planned_at as since,
       format('batch %%s of %%s, planned at %%s, is %%s', b.batch_id, b.stream,
              to_char(b.planned_at at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'), b.status) as what
from manifest.batch b
where b.status in ('planned', 'running', 'dead') and b.planned_at <= %(as_of)s
union all
select 'stream_halted', s.halted_at, format('%%s is halted: %%s', s.stream, s.halted_reason)
from manifest.stream s
where s.halted_reason is not null
union all
select 'commits_unsealed', min(c.recorded_at),
       format('%%s commits have no seal, the oldest recorded at %%s', count(*),
              to_char(min(c.recorded_at) at time zone 'UTC', 'YYYY-MM-DD"T"HH24:MI:SS.US"Z"'))
from audit.commit c
where c.recorded_at <= %(as_of)s
  and not exists (select from audit.seal_commit s where s.commit_id = c.commit_id)
having count(*) > 0
order by 1, 2
