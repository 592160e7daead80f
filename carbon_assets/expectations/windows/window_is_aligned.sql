select activity_type, window_start::text
from {batch}
where mod(extract(epoch from window_start), 300) <> 0
