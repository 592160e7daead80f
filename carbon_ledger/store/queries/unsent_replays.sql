-- Replays decided a while ago of which nobody noted that they were sent, and that did not come back either.
select c.decision_id, c.letter_id, c.try_no, c.topic, c.record_key, c.record_value, c.record_headers
from ledger.letter_decision c
join ledger.letter l on l.decision_id = c.decision_id
where c.kind = 'replay' and l.state = 'replayed' and l.sent_at is null
  and c.decided_at < clock_timestamp() - make_interval(secs => %(seconds)s)
order by c.decided_at, c.decision_id
limit %(limit)s
