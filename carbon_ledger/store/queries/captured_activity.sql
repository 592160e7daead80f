select a.activity_ref, a.row_key, a.revision, a.sent, a.is_standing
from capture.activity a
where a.source = %(source)s and a.activity_ref = %(activity_ref)s
