select p.next_offset from capture.progress p where p.source = %(source)s and p.topic = %(topic)s
