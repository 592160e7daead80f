insert into ledger.letter_decision (
    decision_id, letter_id, decision_no, kind, try_no, is_forced, changes, topic, record_key, record_value,
    record_headers, decided_by, reason
)
select %(decision_id)s, %(letter_id)s, coalesce(max(c.decision_no), 0) + 1, %(kind)s, %(try_no)s, %(is_forced)s,
       %(changes)s, %(topic)s, %(record_key)s, %(record_value)s, %(record_headers)s, %(decided_by)s, %(reason)s
from ledger.letter_decision c
where c.letter_id = %(letter_id)s
