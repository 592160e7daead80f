insert into audit.head_publication (tree_size, place, receipt) values (%(tree_size)s, %(place)s, %(receipt)s)
on conflict do nothing
