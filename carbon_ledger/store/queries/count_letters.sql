-- How many letters are in each state, by stream and reason, and since when the oldest has been there.
select l.state, l.stream, l.reason_code, count(*)::bigint as letters, min(l.recorded_at) as oldest_at
from (
    select v.stream, v.reason_code, v.recorded_at,
           case when v.state = 'open' and v.tries >= %(tries_max)s then 'exhausted' else v.state end as state
    from ledger.letter v
) l
group by l.state, l.stream, l.reason_code
order by l.state, l.stream nulls first, l.reason_code
