-- What is recorded has begun; a day's grace for clocks and calendars.
select stream, entry_id::text, occurred_from::text, recorded_at::text
from {batch}
where occurred_from > recorded_at + interval '1 day'
