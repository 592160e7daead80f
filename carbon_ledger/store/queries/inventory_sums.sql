-- The rows of `inventory`, from sums and the lines recorded since: the function says how.
select *
from windows.inventory(
    %(rollup)s, %(rollup_id)s, %(granularity)s, %(start)s, %(end)s, %(scope)s::smallint, %(category)s::smallint,
    %(basis)s, %(facility)s, %(supplier)s, %(until)s, %(as_of)s, %(limit)s)
