-- Since how many seconds the latest seal is there, and how many entries it seals.
select greatest(0, extract(epoch from clock_timestamp() - sealed_at)), tree_size
from audit.seal
order by seal_no desc
limit 1
