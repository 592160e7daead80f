delete from capture.pending p where p.source = %(source)s and p.pending_no <= %(last)s
