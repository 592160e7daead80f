-- For how many seconds records of each stream have been waiting to be claimed; 0 where none is.
select s.stream, greatest(0, coalesce(extract(epoch from clock_timestamp() - s.pending_since), 0)) as seconds
from manifest.stream s
