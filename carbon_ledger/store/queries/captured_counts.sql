select
    (select count(*) from capture.source_row r
     where r.source = %(source)s and r.role = 'header' and r.image is not null),
    (select count(*) from capture.source_row r
     where r.source = %(source)s and r.role = 'line' and r.image is not null),
    (select count(*) from capture.source_row r
     where r.source = %(source)s and r.role = 'line' and r.image is not null
       and not exists (select from capture.source_row h
                       where h.source = r.source and h.role = 'header' and h.row_key = r.header_key
                         and h.image is not null)),
    (select count(*) from capture.activity a where a.source = %(source)s and a.is_standing),
    (select count(*) from capture.pending p where p.source = %(source)s)
