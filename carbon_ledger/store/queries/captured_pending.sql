select p.pending_no, p.kind, p.body, p.payload
from capture.pending p
where p.source = %(source)s
order by p.pending_no
limit %(limit)s
