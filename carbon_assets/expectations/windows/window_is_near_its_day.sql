-- A calendar is at most fourteen hours ahead of UTC and twelve behind.
select activity_type, window_start::text
from {batch}
where window_start < ($unit::timestamp - interval '14 hours 5 minutes') at time zone 'UTC'
   or window_start >= ($unit::timestamp + interval '36 hours') at time zone 'UTC'
