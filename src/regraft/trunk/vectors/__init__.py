"""Word vectors under a recurrent network: reading them (``read``), telling words apart (``words``), and the network (``recurrent``)."""
